"""What is compiled, and the devices it runs on."""
