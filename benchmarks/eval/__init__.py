"""How true Stope's results are, on dialogues whose words, speakers, times and claims are known."""
