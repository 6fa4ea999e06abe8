"""
How fast, how frugal and how steady trailcam is: C{python -m benchmarks}, from the checkout.

Every line is a ratio against something measured in the same run, so that a
slow machine changes both sides of it. What plays the camera, the link and the
receiver are processes of their own: none takes processor time or memory from
what is measured in another.
"""
