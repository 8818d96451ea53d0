//! RTP on threads of its own: ports, routes, playing.
