# Which room may include which: docs of the table are in README.md, "Rooms". Read by CMake and by scripts/check-rooms.

ft_room(base)
ft_room(observe   DEPS base)
ft_room(wire      DEPS base LIBS Boost::json)
ft_room(transport DEPS base observe LIBS OpenSSL::SSL OpenSSL::Crypto ASIO)
ft_room(mux       DEPS base observe wire transport)
ft_room(session   DEPS base observe wire transport mux LIBS OpenSSL::SSL OpenSSL::Crypto Boost::json ASIO)
ft_room(http      DEPS base LIBS nghttp2)
# http: a route's host and path are in its spelling, and match as it says.
ft_room(route     DEPS base observe wire transport mux session http)
ft_room(plugin    DEPS base observe http LIBS OpenSSL::Crypto crypt z zstd brotlienc)
ft_room(ingress   DEPS base observe wire transport mux session http route plugin ASIO)
ft_room(origin    DEPS base observe wire transport mux http plugin ASIO)
ft_room(app       DEPS base observe wire transport mux session http route plugin ingress origin
                  LIBS OpenSSL::Crypto Boost::json ASIO PUBLIC_HEADERS)

set_property(SOURCE ${CMAKE_SOURCE_DIR}/src/app/version.cc APPEND PROPERTY COMPILE_DEFINITIONS FERROTUNNEL_VERSION="${PROJECT_VERSION}")
