"""The processor tier over gRPC; the build makes `processor_pb2` and `processor_pb2_grpc` from processor.proto."""
