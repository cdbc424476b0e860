-- Run by psql once, when PostgreSQL's volume is empty: a role and a database for Stope's records,
-- beside Temporal's. The role may not touch what is Temporal's.
\getenv password POSTGRES_PASSWORD
CREATE ROLE stope LOGIN PASSWORD :'password';
CREATE DATABASE stope OWNER stope;
