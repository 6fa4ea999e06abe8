"""The state of one session, without socket, clock or reactor: C{now} is an argument."""
