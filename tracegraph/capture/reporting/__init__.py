"""What a user sees of capture: why graphs end, warnings at the user's line, tracebacks, logs."""
