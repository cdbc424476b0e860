"""The same small calls by four sides: bare, our unit loop, Temporal activities, DBOS steps."""
