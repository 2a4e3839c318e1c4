"""The library behind the questions: typed searches over what was recorded, and answers with their evidence; no terminal in it."""
