terraform {
  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 4.0"
    }
  }
}

provider "azurerm" {
  features {}
}

variable "expires" {
  type = string
}

variable "user" {
  type = string
}

variable "limit" {
  type    = number
  default = 5
}

resource "azurerm_resource_group" "desks" {
  name     = "desks"
  location = "local"
}

resource "azurerm_virtual_desktop_host_pool" "office" {
  name                     = "office"
  resource_group_name      = azurerm_resource_group.desks.name
  location                 = azurerm_resource_group.desks.location
  type                     = "Pooled"
  load_balancer_type       = "DepthFirst"
  maximum_sessions_allowed = var.limit
  preferred_app_group_type = "Desktop"
  friendly_name            = "Office"
  description              = "Made by Terraform"
  start_vm_on_connect      = true
  custom_rdp_properties    = "redirectclipboard:i:1;audiomode:i:0;"
  tags                     = { site = "north" }

  scheduled_agent_updates {
    enabled  = true
    timezone = "W. Europe Standard Time"

    schedule {
      day_of_week = "Saturday"
      hour_of_day = 2
    }
  }
}

resource "azurerm_virtual_desktop_host_pool" "own" {
  name                             = "own"
  resource_group_name              = azurerm_resource_group.desks.name
  location                         = azurerm_resource_group.desks.location
  type                             = "Personal"
  load_balancer_type               = "Persistent"
  personal_desktop_assignment_type = "Direct"
}

resource "azurerm_virtual_desktop_host_pool_registration_info" "office" {
  hostpool_id     = azurerm_virtual_desktop_host_pool.office.id
  expiration_date = var.expires
}

resource "azurerm_virtual_desktop_application_group" "desktop" {
  name                         = "desktop"
  resource_group_name          = azurerm_resource_group.desks.name
  location                     = azurerm_resource_group.desks.location
  type                         = "Desktop"
  host_pool_id                 = azurerm_virtual_desktop_host_pool.office.id
  default_desktop_display_name = "The office"
  friendly_name                = "Desktops"
}

resource "azurerm_virtual_desktop_application_group" "apps" {
  name                = "apps"
  resource_group_name = azurerm_resource_group.desks.name
  location            = azurerm_resource_group.desks.location
  type                = "RemoteApp"
  host_pool_id        = azurerm_virtual_desktop_host_pool.office.id
}

resource "azurerm_virtual_desktop_application" "terminal" {
  name                         = "terminal"
  application_group_id         = azurerm_virtual_desktop_application_group.apps.id
  friendly_name                = "Terminal"
  path                         = "/usr/bin/xterm"
  command_line_argument_policy = "DoNotAllow"
  show_in_portal               = true
}

resource "azurerm_virtual_desktop_workspace" "work" {
  name                = "work"
  resource_group_name = azurerm_resource_group.desks.name
  location            = azurerm_resource_group.desks.location
  friendly_name       = "Work"
}

resource "azurerm_virtual_desktop_workspace_application_group_association" "desktop" {
  workspace_id         = azurerm_virtual_desktop_workspace.work.id
  application_group_id = azurerm_virtual_desktop_application_group.desktop.id
}

resource "azurerm_virtual_desktop_workspace_application_group_association" "apps" {
  workspace_id         = azurerm_virtual_desktop_workspace.work.id
  application_group_id = azurerm_virtual_desktop_application_group.apps.id
}

resource "azurerm_virtual_desktop_scaling_plan" "week" {
  name                = "week"
  resource_group_name = azurerm_resource_group.desks.name
  location            = azurerm_resource_group.desks.location
  time_zone           = "W. Europe Standard Time"

  schedule {
    name                                 = "weekdays"
    days_of_week                         = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"]
    ramp_up_start_time                   = "07:00"
    ramp_up_load_balancing_algorithm     = "BreadthFirst"
    ramp_up_minimum_hosts_percent        = 20
    ramp_up_capacity_threshold_percent   = 60
    peak_start_time                      = "09:00"
    peak_load_balancing_algorithm        = "BreadthFirst"
    ramp_down_start_time                 = "18:00"
    ramp_down_load_balancing_algorithm   = "DepthFirst"
    ramp_down_minimum_hosts_percent      = 10
    ramp_down_capacity_threshold_percent = 90
    ramp_down_force_logoff_users         = false
    ramp_down_wait_time_minutes          = 30
    ramp_down_notification_message       = "The desktop ends soon."
    ramp_down_stop_hosts_when            = "ZeroSessions"
    off_peak_start_time                  = "20:00"
    off_peak_load_balancing_algorithm    = "DepthFirst"
  }

  host_pool {
    hostpool_id          = azurerm_virtual_desktop_host_pool.office.id
    scaling_plan_enabled = false
  }
}

resource "azurerm_role_assignment" "user" {
  scope                = azurerm_virtual_desktop_application_group.desktop.id
  role_definition_name = "Desktop Virtualization User"
  principal_id         = var.user
}

resource "azurerm_virtual_network" "office" {
  name                = "office"
  resource_group_name = azurerm_resource_group.desks.name
  location            = azurerm_resource_group.desks.location
  address_space       = ["10.1.0.0/16"]
}

resource "azurerm_subnet" "desks" {
  name                 = "desks"
  resource_group_name  = azurerm_resource_group.desks.name
  virtual_network_name = azurerm_virtual_network.office.name
  address_prefixes     = ["10.1.2.0/24"]
}

output "registration_token" {
  value     = azurerm_virtual_desktop_host_pool_registration_info.office.token
  sensitive = true
}
