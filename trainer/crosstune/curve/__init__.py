"""The learning curve of a recipe: what more labels would be worth."""
