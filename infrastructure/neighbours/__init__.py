"""Services that RAS asks over HTTP, which may be slow, wrong or unavailable."""
