"""The review page: a person says of suspicious negatives whether they are relevant after all."""
