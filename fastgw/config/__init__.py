"""Reading configuration: YAML with line numbers, typed values, errors in plain words. Knows no gateway feature."""
