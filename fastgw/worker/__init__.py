"""One data-plane process: what it is made of, how it follows the configuration, how it ends."""
