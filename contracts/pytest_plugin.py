"""`pytest --pyargs contracts --target URL`: the rules as tests. Does nothing in any other session."""
