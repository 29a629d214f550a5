"""The campaign of damaged inputs: a module for each kind of input, and the processes that try them."""
