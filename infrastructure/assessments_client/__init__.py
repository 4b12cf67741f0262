"""The assessment app as RAS sees it: an HTTP service that may be slow, wrong or away."""
