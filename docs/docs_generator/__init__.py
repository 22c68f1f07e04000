"""Makes the site's generated pages from the contract, the runner's catalogue and the server's settings.

Nothing here knows MkDocs: pages are Markdown texts by their path in the site, which `docs/hooks.py` hands
over.
"""
