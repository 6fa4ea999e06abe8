"""What can be typed behind C{trailcam}, by theme. Nothing heavy is imported here."""
