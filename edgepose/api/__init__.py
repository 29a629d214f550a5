"""The verbs of edgepose as functions, one module per verb.

A verb takes keyword-only options, shows its progress through `track`, returns a frozen result and raises an
`EdgeposeError`. Nothing in this package prints or reads the command line. `import edgepose` offers the most used
functions under short names.
"""
