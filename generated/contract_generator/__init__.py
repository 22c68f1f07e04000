"""Makes everything under generated/ from schemas/v1; generate.py beside it is the command."""
