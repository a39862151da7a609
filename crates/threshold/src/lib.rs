//! Threshold keys: distributed key generation, derivation and signing, generic over the suite.
