"""The model: numpy in, numpy out. Reads no file, prints nothing, knows no name of a chip.

Every function takes floats or arrays that broadcast, and any object that carries the fields it reads: a value of
`infertco.values`, or the columns of a table.
"""
