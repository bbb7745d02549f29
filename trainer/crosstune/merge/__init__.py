"""`crosstune merge`: weights between a base and a tuned model, chosen by what two domains say on dev."""
