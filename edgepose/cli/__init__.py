"""The command line: each verb parses its arguments, calls `edgepose.api`, and prints."""
