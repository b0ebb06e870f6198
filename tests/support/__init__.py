"""Code the tests share: real servers, reference models, clocks and links. Each has tests of its own."""
