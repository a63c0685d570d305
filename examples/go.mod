module github.com/numax-mesh/numax/examples

go 1.24

require github.com/numax-mesh/numax/sandbox/sdk/go v0.0.0

replace github.com/numax-mesh/numax/sandbox/sdk/go => ../sandbox/sdk/go
