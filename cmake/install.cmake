install(TARGETS ferrotunnel)
