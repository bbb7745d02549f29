"""Labels that no person made: queries for passages, and grades of candidates, each with its source."""
