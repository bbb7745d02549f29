"""The doctor of a training: what it watches, and the named diagnoses with their evidence and remedy."""
