"""The Python client and command line of Hone. Imports nothing of the server."""
