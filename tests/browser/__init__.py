"""Pages in a real Chromium, on real servers."""
