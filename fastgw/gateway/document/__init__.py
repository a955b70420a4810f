"""The document: what the operator wrote, checked as a whole. The one place that knows all options."""
