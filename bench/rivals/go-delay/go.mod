module delay

go 1.19
