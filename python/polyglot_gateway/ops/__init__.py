"""What those who run the gateway look at: health, metrics, logs."""
