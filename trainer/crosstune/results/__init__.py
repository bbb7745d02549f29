"""What is concluded from finished runs: which is better, whether one may be shipped, how deep to rerank."""
