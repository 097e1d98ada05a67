"""What tests share: servers as processes, real clients, an own certificate authority."""
