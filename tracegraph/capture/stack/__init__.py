"""What lies on the symbolic stack: real values, proxies, and stand-ins for what varies."""
