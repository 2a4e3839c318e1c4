"""The command `audit-search`: prepares the domain, examines an installation, connects a bucket, moves dead letters.

Each subject is a module of plain functions that take what they need (`doctor`, `notification`, `dead_letters`,
`connection`, `stack`); `commands` makes click commands of them and `output` prints what they gave.
"""
