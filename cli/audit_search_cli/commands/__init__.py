"""The commands: they read what was given, call plain functions, and print what these gave."""
