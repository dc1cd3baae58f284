package lab

// The codes of the causes that prevent a start. The commands of the lab report them. Package cause explains them and all other codes.
const (
	NoDocker          = "LAB001"
	NoAccess          = "LAB002"
	NoEngine          = "LAB003"
	OldEngine         = "LAB004"
	PodmanCommand     = "LAB005"
	DiskFull          = "LAB006"
	NoNetworkLeft     = "LAB007"
	WindowsContainers = "LAB008"
	ContentTrust      = "LAB011"
	NotWritable       = "LAB012"
	WindowsLines      = "LAB013"
	NameInUse         = "LAB014"
	WrongName         = "LAB015"
	NoCompose         = "LAB016"
	NoCompiler        = "LAB021"
	NotBuilt          = "LAB022"
	NotPulled         = "LAB023"
	NoImage           = "LAB024"
	NotStarted        = "LAB025"
	WrongComposeFile  = "LAB026"
	NotRunning        = "LAB031"
)
