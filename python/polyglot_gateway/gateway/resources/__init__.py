"""The resources of the REST interface, one file each."""
