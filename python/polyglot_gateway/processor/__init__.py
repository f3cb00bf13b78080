"""The processor tier: user code that sees events before they are kept."""
