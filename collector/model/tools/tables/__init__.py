"""One module for each family of tables, with

    TABLES = {"name": function}    where function(work) -> (head, columns, rows)

`work` is a directory for downloads, `head` the commented lines above the columns, a row a list of strings. Every module
here that has TABLES is found and called by build_data.py.
"""
