"""Images of users: pixels of any kind as 8-bit RGB, their color profiles, and other sizes."""
