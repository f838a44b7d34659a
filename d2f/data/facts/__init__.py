"""What an image file says of itself before anyone looks at the picture, and a hash of the picture."""
