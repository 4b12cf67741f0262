"""A judging report: what it contains, its figures and words, and the HTML file that it becomes."""
