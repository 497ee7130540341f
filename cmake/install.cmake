if(NOT TARGET ferrotunnel)
  return()
endif()
install(TARGETS ferrotunnel)
