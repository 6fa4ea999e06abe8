"""
What is seen of a station in a browser, and its HTTP API; the extra C{web}.

A request goes through L{resource <trailcam.web.resource>} (twisted.web),
L{routes <trailcam.web.routes>} (whose turn it is) and L{gate <trailcam.web.gate>} (who may), and
then to a handler in C{pages}, C{api} or C{files}, which takes an
L{Asked <trailcam.web.http.Asked>} and gives an L{Answer <trailcam.web.http.Answer>}.
"""
