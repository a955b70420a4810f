"""The life of an exchange: the document, the compiled snapshot, the phases in their order."""
