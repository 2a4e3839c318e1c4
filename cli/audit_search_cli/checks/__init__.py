"""What the doctor looks at, by subject; each check is a function that takes a patient and gives findings."""
